//! Opens a capture file, standard input, and what compresses them.
//!
//! Contract: compression is known by its first bytes, not by the name. Bytes are counted as they are read, compressed, so
//! that a progress bar can compare them with the length of the file. A frame's checksum is compared at its end, by gzip and by zstd: damage that
//! still unpacks is an error.
//! Limits: one layer of compression; a zstd window above [`MAX_ZSTD_WINDOW`] is refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::CaptureError;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The most that a zstd frame may ask to look back, and so to hold in memory; usual levels need 8 MiB.
const MAX_ZSTD_WINDOW: u64 = 64 * 1024 * 1024;
/// Compressed input is read in pieces of this size.
const PIECE: usize = 128 * 1024;

/// An opened file.
pub(super) struct Source {
    pub(super) stream: Box<dyn Read + Send>,
    /// Bytes read of the file so far.
    pub(super) bytes_read: Arc<AtomicU64>,
    /// Its length, where it has one.
    pub(super) len: Option<u64>,
}

/// Opens `path`; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Source, CaptureError> {
    if path.as_os_str() == "-" {
        return wrap(path, Box::new(io::stdin()), None);
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    wrap(path, Box::new(file), metadata.is_file().then_some(metadata.len()))
}

/// Any stream as a source; `path` is only named in errors.
pub(super) fn wrap(path: &Path, stream: Box<dyn Read + Send>, len: Option<u64>) -> Result<Source, CaptureError> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut counted = Counted { stream, count: Arc::clone(&bytes_read) };
    let mut head = Vec::with_capacity(ZSTD.len());
    counted.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    let is_gzip = head.starts_with(&GZIP);
    let is_zstd = head == ZSTD || is_skippable(&head);
    let whole = Cursor::new(head).chain(counted);
    let stream: Box<dyn Read + Send> = match (is_gzip, is_zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, whole))),
        (_, true) => Box::new(Zstd::new(BufReader::with_capacity(PIECE, whole))),
        _ => Box::new(whole),
    };
    Ok(Source { stream, bytes_read, len })
}

/// A frame that says nothing, as `pzstd` writes one before each of its frames (RFC 8878 §3.1.2).
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

/// A path as messages name it.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

fn unreadable(path: &Path, source: io::Error) -> CaptureError {
    let path = shown(path);
    match source.kind() {
        io::ErrorKind::NotFound => CaptureError::NotFound { path },
        _ => CaptureError::Unreadable { path, source },
    }
}

/// Counts what is read.
struct Counted {
    stream: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Zstandard frames one after the other; skippable frames are skipped.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { source, decoder, in_frame: false }
    }

    /// Starts the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(self.damage(&error)),
            }
        }
        Ok(false)
    }

    /// The content's checksum at the end of a frame, where the frame has one (RFC 8878 §3.1.1).
    fn check_frame(&self) -> io::Result<()> {
        let (stored, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        if stored.is_none_or(|stored| found == Some(stored)) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a zstd frame differs from its content"))
    }

    /// Input that ends inside a frame is an early end, anything else is damage.
    fn damage(&mut self, error: &FrameDecoderError) -> io::Error {
        let at_end = self.source.fill_buf().is_ok_and(<[u8]>::is_empty);
        let kind = if at_end { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
        io::Error::new(kind, error.to_string())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if buffer.is_empty() || !self.next_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            let wanted = buffer.len().min(PIECE);
            while self.decoder.can_collect() < wanted && !self.decoder.is_finished() {
                let more = BlockDecodingStrategy::UptoBytes(wanted - self.decoder.can_collect());
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, more) {
                    return Err(self.damage(&error));
                }
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.in_frame = false;
            self.check_frame()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut source = wrap(Path::new("x.zst"), Box::new(Cursor::new(bytes)), None).expect("a source");
        let mut plain = Vec::new();
        source.stream.read_to_end(&mut plain).map(|_| plain)
    }

    #[test]
    fn a_zstd_frame_whose_content_was_damaged_is_an_error() {
        let plain: Vec<u8> = (0..40_000_u32).flat_map(|number| (number % 7919).to_le_bytes()).collect();
        let packed = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(unpacked([packed.clone(), packed.clone()].concat()).expect("whole"), [&plain[..], &plain].concat());
        let mut damaged = packed.clone();
        *damaged.last_mut().expect("a checksum") ^= 1;
        for bytes in [damaged.clone(), [damaged, packed].concat()] {
            let error = unpacked(bytes).expect_err("damaged");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("checksum"), "{error}");
        }
    }
}
