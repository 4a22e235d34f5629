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
    /// The blob of class scores that its softmax turns into probabilities.
    pub scores: &'static str,
}

macro_rules! architectures {
    ($($name:literal: $scores:literal)*) => {
        &[$(Architecture {
            name: $name,
            prototxt: include_str!(concat!("zoo/", $name, ".prototxt")),
            scores: $scores,
        }),*]
    };
}

/// Every architecture that is built in.
pub fn architectures() -> &'static [Architecture] {
    architectures! {
        "alexnet": "fc8"
        "caffenet": "fc8"
        "googlenet": "loss3/classifier"
        "squeezenet10": "pool10"
        "squeezenet11": "pool10"
        "vgg16": "fc8"
    }
}

/// The architecture of that name; dots do not count (`squeezenet1.1`).
pub fn architecture(name: &str) -> Option<&'static Architecture> {
    let name = name.replace('.', "");
    architectures().iter().find(|a| a.name == name)
}
