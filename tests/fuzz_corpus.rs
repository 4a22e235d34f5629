//! Every input that the fuzzer kept, through every parser's target again.

#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn kept_inputs_do_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz-corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpus.join(name);
        let mut replayed = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("an input"));
            replayed += 1;
        }
        assert!(replayed >= 10, "{name}: only {replayed} inputs");
        println!("{name}: {replayed} inputs replayed");
    }
}
