"""What the doctor looks at: each check is a pure look at this machine, and says what mends it."""
