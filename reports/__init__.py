"""Reports on evolutions: facts first, drawing second."""
