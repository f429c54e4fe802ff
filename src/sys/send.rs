//! Sending file bytes to a socket without copying them.
