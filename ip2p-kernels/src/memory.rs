//! Memory for large tensors.

use std::alloc::{GlobalAlloc, Layout, System};

/// How many bytes are large: two huge pages of x86-64, so that one is whole wherever they begin.
const LARGE: usize = 4 << 20;

/// The system's allocator, which asks for huge pages where an allocation of 4 MiB or more begins anew, and which keeps memory that is
/// given back for the next allocation.
///
/// Every layer of a network makes tensors of many megabytes. In pages of 4 KiB the first touch of each costs more than a microsecond, in
/// all up to a third of the autoencoder's time; one of 2 MiB costs as much as filling it. Linux gives huge pages to programs that ask.
/// The GNU C library maps large memory anew each time and takes it back at once unless it is told not to; the first large allocation
/// tells it, for the whole program and for good: up to 2 GiB that are free then stay with the program. Elsewhere this is the
/// system's allocator and nothing else.
///
/// A program makes it its own with
///
/// ```
/// #[global_allocator]
/// static MEMORY: ip2p_kernels::HugePages = ip2p_kernels::HugePages;
/// # fn main() { assert_eq!(vec![0_u8; 5 << 20].len(), 5 << 20) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct HugePages;

// SAFETY: the memory is the system's; advice about pages changes neither what is in them nor whose they are.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        keep(layout.size());
        // SAFETY: the caller's.
        advise(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        keep(layout.size());
        // SAFETY: the caller's.
        advise(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        keep(size);
        // SAFETY: the caller's.
        advise(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Has the C library keep memory that is given back, before the first large memory is asked for.
fn keep(size: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if size >= LARGE {
        use std::sync::Once;

        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            // From one place that grows, of which what is free at the end is not taken back.
            for (option, value) in [
                (libc::M_MMAP_MAX, 0),
                (libc::M_TRIM_THRESHOLD, i32::MAX),
                (libc::M_ARENA_MAX, 1),
            ] {
                // SAFETY: it may be called at any time; what it refuses stays as it was.
                let _accepted = unsafe { libc::mallopt(option, value) };
            }
        });
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = size;
}

/// Asks for huge pages for the pages that lie within large memory. A system without them is left as it is.
fn advise(memory: *mut u8, size: usize) -> *mut u8 {
    #[cfg(target_os = "linux")]
    if size >= LARGE && !memory.is_null() {
        use rustix::mm::{Advice, madvise};

        let page = rustix::param::page_size();
        let before = memory.align_offset(page);
        let length = (size - before) / page * page;
        // SAFETY: whole pages of memory that was just allocated; the advice keeps what they hold.
        let _refused = unsafe { madvise(memory.add(before).cast(), length, Advice::LinuxHugepage) };
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_keeps_its_numbers_as_it_grows_and_shrinks() {
        let layout = Layout::array::<u8>(LARGE + 1).unwrap();
        // SAFETY: a layout that is not empty, and accesses within it.
        unsafe {
            let memory = HugePages.alloc_zeroed(layout);
            assert!(!memory.is_null());
            assert_eq!([*memory, *memory.add(LARGE)], [0, 0]);
            *memory.add(LARGE) = 7;
            let memory = HugePages.realloc(memory, layout, 3 * LARGE);
            assert!(!memory.is_null());
            *memory.add(3 * LARGE - 1) = 9;
            assert_eq!([*memory, *memory.add(LARGE)], [0, 7]);
            let layout = Layout::array::<u8>(3 * LARGE).unwrap();
            let memory = HugePages.realloc(memory, layout, LARGE + 1);
            assert_eq!(*memory.add(LARGE), 7);
            HugePages.dealloc(memory, Layout::array::<u8>(LARGE + 1).unwrap());
        }
    }
}
