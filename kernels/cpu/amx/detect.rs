//! Whether this machine has tiles, and may use them; their configuration.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

/// The proof that tiles for `bf16` can be used by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amx(());

/// Linux's number for the tiles' part of a thread's state.
const TILE_DATA: u64 = 18;

impl Amx {
    /// Asks the processor, and the system for leave to use tiles: they enlarge each thread's state.
    pub fn detect() -> Option<Self> {
        let tiles = (1 << 24) | (1 << 22); // amx-tile, amx-bf16
        let vectors = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bf16");
        let found = vectors && __cpuid_count(7, 0).edx & tiles == tiles;
        (found && allowed()).then_some(Self(()))
    }
}

/// Asks Linux for leave. Other systems are not asked: tiles stay unused there.
fn allowed() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let (arch_prctl, request_permission) = (158u64, 0x1023u64);
    let answer: i64;
    // SAFETY: a system call that reads and writes no memory of ours; the kernel clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") arch_prctl => answer,
            in("rdi") request_permission,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

/// While it lives, this thread's tiles are eight of 16 rows by 64 bytes.
pub(super) struct Configured(());

impl Configured {
    pub fn new(_: Amx) -> Self {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        let mut config = Config([0; 64]);
        config.0[0] = 1; // palette
        for tile in 0..8 {
            config.0[16 + 2 * tile] = 64; // bytes of a row
            config.0[48 + tile] = 16; // rows
        }
        // SAFETY: the machine has tiles, as the token proves; the configuration is a valid one.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: tiles were configured on this thread. Released, they need not be saved.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
