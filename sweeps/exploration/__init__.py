"""A folder of images and masks -> what is in it, what is wrong with it, and what size to train at."""
