//! What a limit store has to answer, step by step: the same for every backend.
