"""The images and masks of a data set: found, read, resized once, and divided into parts."""
