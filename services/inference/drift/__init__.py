"""Whether what a version is asked, and what it answers, is still like the data that it was trained on."""
