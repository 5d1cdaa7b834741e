"""What is looked at in the columns of a table: a summary for each type of Arrow that rows can have."""
