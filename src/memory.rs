//! What the C library's allocator is told once, at the start.

/// Blocks of this size and more are given back to the system when they are freed. hyper's buffers stay below it.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1024 * 1024;

/// Has large blocks given back.
///
/// glibc raises its threshold for blocks of their own to the size of the largest that was freed, so that bodies which were
/// translated stay in its arenas: 16 bodies of 3 MiB at once left 43 MiB behind. A fixed threshold ends that.
#[cfg(target_env = "gnu")]
pub fn give_back_large_blocks() {
    // SAFETY: mallopt changes a parameter of the allocator and is called before any other thread exists.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_large_blocks() {}
