"""The methods of a contest: what each does with the epochs of a cell's search."""
