"""Many trials: plan, schedule, track, judge and report them."""
