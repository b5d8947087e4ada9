"""What is made of a contest's records: the verdict of each axis, and the page."""
