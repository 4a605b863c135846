"""A classifier as an object and as a folder. Nothing here trains one."""
