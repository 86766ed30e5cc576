"""What holds for an acquisition whichever engine does it."""
