"""What is wrong with labelled data, as numbers and line numbers. It suggests; it changes nothing, and knows no net."""
