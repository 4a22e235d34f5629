// Made by build.py.
#[rustfmt::skip]
static FILES: &Files = &[
    ("conv", &[("70", include_str!("conv.70.ptx")), ("80", include_str!("conv.80.ptx"))]),
    ("elementwise", &[("70", include_str!("elementwise.70.ptx"))]),
    ("gemm", &[("70", include_str!("gemm.70.ptx")), ("80", include_str!("gemm.80.ptx"))]),
    ("gemv", &[("70", include_str!("gemv.70.ptx"))]),
    ("layout", &[("70", include_str!("layout.70.ptx"))]),
    ("loss", &[("70", include_str!("loss.70.ptx"))]),
    ("lrn", &[("70", include_str!("lrn.70.ptx"))]),
    ("nhwc", &[("70", include_str!("nhwc.70.ptx"))]),
    ("plain", &[("70", include_str!("plain.70.ptx"))]),
    ("pool", &[("70", include_str!("pool.70.ptx"))]),
    ("softmax", &[("70", include_str!("softmax.70.ptx"))]),
    ("sums", &[("70", include_str!("sums.70.ptx"))]),
    ("tensor_mma", &[("80", include_str!("tensor_mma.80.ptx"))]),
    ("tensor_wgmma", &[("90a", include_str!("tensor_wgmma.90a.ptx"))]),
    ("update", &[("70", include_str!("update.70.ptx"))]),
    ("winograd", &[("70", include_str!("winograd.70.ptx"))]),
];
