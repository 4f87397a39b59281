"""Who is stopped early, and why: schedulers on Ray, their rungs and their memory."""
