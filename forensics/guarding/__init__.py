"""What spares a target while its memory is read: a pace, an eye on its load and memory, a shield for its sshd."""
