//! Tensor maps as devices read them: 128 bytes that the driver encodes, or the fields that the emulator knows
//! (`EmulatedMap` in `hopper.cuh`).

use super::plan::{Number, TensorMap};
use cudarc::driver::sys;

impl TensorMap {
    /// Bytes from neighbour to neighbour along each dimension but the innermost.
    fn pitches(&self) -> Vec<u64> {
        let sizes = self.dims.iter().scan(self.number.bytes() as u64, |bytes, len| {
            *bytes *= *len as u64;
            Some(*bytes)
        });
        sizes.take(self.dims.len() - 1).collect()
    }

    /// For the emulator.
    #[cfg(feature = "emulator")]
    pub(super) fn emulated(&self, address: u64) -> [u8; 128] {
        let mut longs = [0u64; 8];
        longs[0] = address;
        self.dims.iter().zip(&mut longs[1..5]).for_each(|(len, to)| *to = *len as u64);
        longs[5..5 + self.dims.len() - 1].copy_from_slice(&self.pitches());
        let mut ints =
            vec![self.dims.len() as i32, self.number.bytes() as i32, self.box_rows as i32];
        if let Some(c) = self.patches {
            ints.extend(c.lower.iter().chain(&c.upper).map(|n| *n as i32));
            ints.extend(c.stride.map(|n| n as i32));
        }
        let mut bytes = [0; 128];
        let values = longs.iter().flat_map(|l| l.to_ne_bytes());
        let values = values.chain(ints.iter().flat_map(|i| i.to_ne_bytes()));
        bytes.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        bytes
    }

    /// For a device of NVIDIA's.
    ///
    /// # Errors
    /// When the driver has no tensor maps, or does not take these sizes.
    pub(super) fn encoded(&self, address: u64) -> Result<[u8; 128], String> {
        use sys::CUtensorMapDataType_enum as Type;
        let number = match self.number {
            Number::F16 => Type::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
            Number::Bf16 => Type::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            Number::Tf32 => Type::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        };
        let interleave = sys::CUtensorMapInterleave_enum::CU_TENSOR_MAP_INTERLEAVE_NONE;
        let swizzle = sys::CUtensorMapSwizzle_enum::CU_TENSOR_MAP_SWIZZLE_128B;
        let cache = sys::CUtensorMapL2promotion_enum::CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
        let outside = sys::CUtensorMapFloatOOBfill_enum::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        let base = address as *mut std::ffi::c_void;
        let dims: Vec<u64> = self.dims.iter().map(|n| *n as u64).collect();
        let (rank, pitches) = (dims.len() as u32, self.pitches());
        let (slab, rows) = (self.number.slab() as u32, self.box_rows as u32);
        // SAFETY: the driver reads as many numbers of each array as the rank says, which are there, and writes the map;
        // who has a device has the driver's library.
        let code = unsafe {
            match self.patches {
                None => sys::cuTensorMapEncodeTiled(
                    &mut map,
                    number,
                    rank,
                    base,
                    dims.as_ptr(),
                    pitches.as_ptr(),
                    [slab, rows].as_ptr(),
                    [1, 1].as_ptr(),
                    interleave,
                    swizzle,
                    cache,
                    outside,
                ),
                Some(c) => sys::cuTensorMapEncodeIm2col(
                    &mut map,
                    number,
                    rank,
                    base,
                    dims.as_ptr(),
                    pitches.as_ptr(),
                    c.lower.map(|n| n as i32).as_ptr(),
                    c.upper.map(|n| n as i32).as_ptr(),
                    slab,
                    rows,
                    [1, c.stride[0] as u32, c.stride[1] as u32, 1].as_ptr(),
                    interleave,
                    swizzle,
                    cache,
                    outside,
                ),
            }
        };
        if code != sys::CUresult::CUDA_SUCCESS {
            return Err(format!("the driver takes no such tensor map ({code:?}): {self:?}"));
        }
        let mut bytes = [0; 128];
        let values = map.opaque.iter().flat_map(|l| l.to_ne_bytes());
        bytes.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        Ok(bytes)
    }
}
