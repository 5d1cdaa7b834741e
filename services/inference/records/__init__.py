"""Records: what was answered to whom by which model version."""
