"""Model versions made into other forms, and measured, as jobs with evidence."""
