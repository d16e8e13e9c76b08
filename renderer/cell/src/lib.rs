//! What a process gives up before it meets a scene.
