"""The hand-off: a case in a bag that its recipient checks with stock tools, and the receipt that comes back."""
