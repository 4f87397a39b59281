"""A verdict -> a model that is used: trained anew, described, registered, found again by its name."""
