"""The survey: what a target is asked, pure readers of its answers, and what they mean for the stages to come."""
