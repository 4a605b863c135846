"""What was measured, as JSON that every score can be derived from. Nothing here judges."""
