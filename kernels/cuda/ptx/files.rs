// Made by build.py.
#[rustfmt::skip]
static FILES: &Files = &[
    ("elementwise", &[("70", include_str!("elementwise.70.ptx"))]),
    ("loss", &[("70", include_str!("loss.70.ptx"))]),
    ("lrn", &[("70", include_str!("lrn.70.ptx"))]),
    ("plain", &[("70", include_str!("plain.70.ptx"))]),
    ("pool", &[("70", include_str!("pool.70.ptx"))]),
    ("softmax", &[("70", include_str!("softmax.70.ptx"))]),
    ("sums", &[("70", include_str!("sums.70.ptx"))]),
    ("update", &[("70", include_str!("update.70.ptx"))]),
];
