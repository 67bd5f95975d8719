//! Programs to copy from; each example is a file of its own beside this one.
