//! The finished files: safetensors, npy or csv, and which row is which photo.

use super::Job;
use super::journal::Journal;
use crate::error::{Error, Result};
use crate::feed::Views;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use weights_tools::{Dtype, safetensors_header, write_atomically};

/// What features are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file, one tensor `(rows, width)` for each blob, named after it.
    Safetensors,
    /// One file `(rows, width)` for each blob; with several, the blob's name goes into the file's.
    Npy,
    /// One table: file, mirrored, then every value.
    Csv,
}

impl Format {
    /// The format that a file's ending asks for.
    pub fn of(out: &Path) -> Result<Self> {
        match out.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npy") => Ok(Self::Npy),
            Some("csv") => Ok(Self::Csv),
            _ => Err(Error::Invalid(format!(
                "{}: features are written as .safetensors, .npy or .csv",
                out.display()
            ))),
        }
    }
}

/// Fails when two blobs would get one name in the file, or one file.
pub(super) fn check_names(format: Format, job: &Job) -> Result<()> {
    let name = |layer: &String| match format {
        Format::Npy => npy_path(job, layer).display().to_string(),
        _ => layer.clone(),
    };
    for (i, layer) in job.layers.iter().enumerate() {
        if job.layers[..i].iter().any(|other| name(other) == name(layer)) {
            return Err(Error::Invalid(format!(
                "two blobs would both be written as {}",
                name(layer)
            )));
        }
    }
    Ok(())
}

fn npy_path(job: &Job, layer: &str) -> PathBuf {
    match job.layers.len() {
        1 => job.out.to_path_buf(),
        _ => job.out.with_extension(format!("{}.npy", layer.replace(['/', '\\'], "_"))),
    }
}

/// Writes everything from the journal's rows, each file atomically; gives the files' paths.
pub(super) fn write(
    format: Format,
    job: &Job,
    journal: &Journal,
    widths: &[usize],
) -> Result<Vec<PathBuf>> {
    let rows = journal.run().kept.len() * job.preparation.views.count();
    let mut files = match format {
        Format::Safetensors => vec![safetensors(job, journal, widths, rows)?],
        Format::Npy => npy(job, journal, widths, rows)?,
        Format::Csv => return Ok(vec![csv(job, journal, widths)?]),
    };
    files.push(row_names(job, journal)?);
    Ok(files)
}

/// The file and the mirroring of each row, in order.
fn each_row<'a>(job: &'a Job, journal: &'a Journal) -> impl Iterator<Item = (&'a Path, usize)> {
    let views = job.preparation.views.count();
    let kept = journal.run().kept.iter();
    kept.flat_map(move |&p| (0..views).map(move |v| (job.photos[p].as_path(), v)))
}

fn mirrored(job: &Job, view: usize) -> bool {
    match job.preparation.views {
        Views::Centre => false,
        Views::CentreAndMirrored => view == 1,
        Views::Ten => view >= 5,
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> weights_tools::Error {
    move |e| weights_tools::Error::io(path, "write")(e)
}

fn safetensors(job: &Job, journal: &Journal, widths: &[usize], rows: usize) -> Result<PathBuf> {
    let about = [("format", "likenet-features"), ("settings", job.settings.as_str())];
    let tensor =
        |(layer, &width): (&String, &usize)| (layer.clone(), Dtype::F32, vec![rows, width]);
    let header = safetensors_header(about, job.layers.iter().zip(widths).map(tensor))
        .map_err(|reason| Error::Invalid(format!("{}: {reason}", job.out.display())))?;
    let raw = (0..widths.len()).map(|i| journal.raw(i)).collect::<Result<Vec<File>>>()?;
    write_atomically(job.out, |out| {
        out.write_all(&header).map_err(io(job.out))?;
        for mut file in raw {
            std::io::copy(&mut file, out).map_err(io(job.out))?;
        }
        Ok(())
    })?;
    Ok(job.out.to_path_buf())
}

fn npy(job: &Job, journal: &Journal, widths: &[usize], rows: usize) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (i, layer) in job.layers.iter().enumerate() {
        let path = npy_path(job, layer);
        let dict = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {}), }}",
            widths[i]
        );
        // Magic, version and length take 10 bytes; the header ends with a newline on a 64-byte
        // boundary.
        let padded = (10 + dict.len() + 1).next_multiple_of(64) - 10;
        let mut raw = journal.raw(i)?;
        write_atomically(&path, |out| {
            let length = (padded as u16).to_le_bytes();
            let header = format!("{dict:<0$}\n", padded - 1);
            for part in [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes()] {
                out.write_all(part).map_err(io(&path))?;
            }
            std::io::copy(&mut raw, out).map_err(io(&path))?;
            Ok(())
        })?;
        files.push(path);
    }
    Ok(files)
}

fn csv(job: &Job, journal: &Journal, widths: &[usize]) -> Result<PathBuf> {
    let mut raw = (0..widths.len())
        .map(|i| Ok(BufReader::new(journal.raw(i)?)))
        .collect::<Result<Vec<BufReader<File>>>>()?;
    let fail = |e: csv::Error| io(job.out)(std::io::Error::other(e));
    write_atomically(job.out, |out| {
        let mut table = csv::Writer::from_writer(out);
        let mut record = vec!["file".to_string(), "mirrored".to_string()];
        for (layer, &width) in job.layers.iter().zip(widths) {
            record.extend((0..width).map(|i| format!("{layer}_{i}")));
        }
        table.write_record(&record).map_err(fail)?;
        for (file, view) in each_row(job, journal) {
            record.clear();
            record.push(file.display().to_string());
            record.push(u8::from(mirrored(job, view)).to_string());
            for (raw, &width) in raw.iter_mut().zip(widths) {
                let mut bytes = vec![0; width * size_of::<f32>()];
                raw.read_exact(&mut bytes).map_err(io(job.out))?;
                let values = bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
                record.extend(values.map(|b| f32::from_le_bytes(b).to_string()));
            }
            table.write_record(&record).map_err(fail)?;
        }
        table.flush().map_err(io(job.out))
    })?;
    Ok(job.out.to_path_buf())
}

/// `OUT` with `.rows.csv` for its ending: row, file, mirrored.
fn row_names(job: &Job, journal: &Journal) -> Result<PathBuf> {
    let path = job.out.with_extension("rows.csv");
    let fail = |e: csv::Error| io(&path)(std::io::Error::other(e));
    write_atomically(&path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(["row", "file", "mirrored"]).map_err(fail)?;
        for (row, (file, view)) in each_row(job, journal).enumerate() {
            let mirrored = u8::from(mirrored(job, view)).to_string();
            let file = file.display().to_string();
            table.write_record([&row.to_string(), &file, &mirrored]).map_err(fail)?;
        }
        table.flush().map_err(io(&path))
    })?;
    Ok(path)
}
