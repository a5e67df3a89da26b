//! What the C library's allocator is told: it keeps what is freed, unless it is asked to give it back.

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

/// Gives pages back on which nothing is left. It takes some milliseconds for 100 MiB, so it is for when much was freed.
///
/// glibc gives back only what is free at the end of its arenas: 5000 connections left 99 MiB behind, with this 12.
#[cfg(target_env = "gnu")]
pub fn give_back_free_pages() {
    // SAFETY: malloc_trim takes the allocator's own locks and touches only pages that it holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_free_pages() {}
