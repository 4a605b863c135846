"""What is asked and what was published: tables and profiles as data. Nothing here runs."""
