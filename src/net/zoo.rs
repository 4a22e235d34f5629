//! The architectures of Caffe's zoo, written out here so that they need no file.
//!
//! Layer names are the published ones, so that published weights fit.

/// An architecture by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// Its description.
    pub prototxt: &'static str,
}

macro_rules! architectures {
    ($($name:literal)*) => {
        &[$(Architecture {
            name: $name,
            prototxt: include_str!(concat!("zoo/", $name, ".prototxt")),
        }),*]
    };
}

/// Every architecture that is built in.
pub fn architectures() -> &'static [Architecture] {
    architectures!("alexnet" "caffenet" "googlenet" "squeezenet10" "squeezenet11" "vgg16")
}

/// The architecture of that name; dots do not count (`squeezenet1.1`).
pub fn architecture(name: &str) -> Option<&'static Architecture> {
    let name = name.replace('.', "");
    architectures().iter().find(|a| a.name == name)
}
