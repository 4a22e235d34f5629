//! Writing so that a reader sees the old file or the new one, never half of one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Error;

/// Writes a file by way of a temporary one in the same folder: written, flushed to the disk, then
/// renamed. If `write` fails, the temporary file goes and the old file stays.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".").suffix(".tmp");
    #[cfg(unix)]
    {
        // A temporary file is private by default; a finished one should obey the umask.
        use std::os::unix::fs::PermissionsExt as _;
        temporary.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = temporary.tempfile_in(folder).map_err(Error::io(path, "create"))?;
    let mut buffered = BufWriter::with_capacity(1 << 20, temporary);
    write(&mut buffered)?;
    let temporary = buffered.into_inner().map_err(|e| Error::io(path, "write")(e.into_error()))?;
    temporary.as_file().sync_all().map_err(Error::io(path, "write"))?;
    temporary.persist(path).map_err(|e| Error::io(path, "rename into place")(e.error))?;
    // The rename itself is durable once the folder is; not every system can flush a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// [`write_atomically`] of bytes that are there already.
pub fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
    write_atomically(path, |out| out.write_all(bytes.as_ref()).map_err(Error::io(path, "write")))
}
