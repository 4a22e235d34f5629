//! What the browser's tests share: a server, photos, and what every page must keep.

use crate::chromium::Chromium;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use likenet::image::{Limits, Picture, Size, decode_file};
use likenet::report::{encode_jpeg, encode_png};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A running `likenet serve`.
pub struct Site {
    process: Child,
    pub url: String,
}

impl Site {
    /// Starts one on a free port with some more arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_likenet"))
            .args(["serve", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no address: {line}")).trim_end_matches(';').into();
        Self { process, url }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with one.jpg and two.jpg, drawn portraits of the gallery, and three.png, a clock.
pub fn photos() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let gallery =
        decode_file(&repo().join("docs/gallery.jpg"), &Limits::default()).expect("a photo");
    for (name, x) in [("one.jpg", 0), ("two.jpg", gallery.width / 2)] {
        let side = Size::square(gallery.height.min(gallery.width) / 2);
        let rows = gallery.data.chunks_exact(gallery.width * 3).take(side.height);
        let data = rows.flat_map(|row| row[x * 3..][..side.width * 3].to_vec()).collect();
        let cut = Picture::new(side, data).expect("a picture");
        std::fs::write(folder.path().join(name), encode_jpeg(&cut, 90).expect("a file"))
            .expect("written");
    }
    std::fs::copy(repo().join("docs/clock.png"), folder.path().join("three.png")).expect("copied");
    folder
}

/// A small picture in base64.
pub fn tiny_png() -> String {
    let picture =
        Picture::new(Size::square(2), vec![9, 99, 199, 0, 0, 0, 255, 255, 255, 80, 90, 70]);
    BASE64_STANDARD.encode(encode_png(&picture.expect("a picture")).expect("a file"))
}

/// Serves a file to whoever asks; the port, and how often it was asked.
pub fn serve_file(path: &Path) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (body, asked) = (std::fs::read(path).expect("a file"), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            count.fetch_add(1, Ordering::Relaxed);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    (port, asked)
}

/// Keeps a screenshot.
pub fn shot(browser: &mut Chromium, name: &str) {
    let folder: PathBuf = repo().join("target/browser");
    browser.screenshot(&folder.join(format!("{name}.png")));
}

/// Nothing is wider than the screen; a phone's window grows with what is too wide.
pub fn fits(browser: &mut Chromium) {
    let wide = browser.eval(
        "document.documentElement.scrollWidth <= screen.width ? '' :
         [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > screen.width + 1)
         .slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join('\\n')",
    );
    assert_eq!(wide, Value::from(""), "wider than the window");
}

/// Scrolls to a layer's section; its pictures are drawn when it is seen.
pub fn unfold(browser: &mut Chromium, section: &str) {
    browser
        .eval(&format!("document.getElementById('{section}').scrollIntoView({{block: 'center'}})"));
    browser.wait(&format!("document.querySelector('#{section} .zoom')"));
}

/// The products, the bias and the rest that the panel shows add up to its sum, and, after the ReLU, to its output.
pub fn adds_up(browser: &mut Chromium) {
    let shown = browser.eval(
        "(() => { const p = document.querySelector('#panel'), d = p.dataset;
         const products = [...p.querySelectorAll('[data-product]')].map((e) => +e.dataset.product);
         return { products, bias: +(d.bias ?? 0), rest: +(d.rest ?? 0), sum: +d.sum, output: +d.output,
                  relu: d.relu === undefined ? null : +d.relu }; })()",
    );
    let number = |name: &str| shown[name].as_f64().unwrap_or_else(|| panic!("no {name}: {shown}"));
    let products: Vec<f64> = serde_json::from_value(shown["products"].clone()).expect("numbers");
    assert!(!products.is_empty(), "{shown}");
    let sizes: f64 = products.iter().map(|p| p.abs()).sum();
    let sum: f64 = products.iter().sum::<f64>() + number("bias") + number("rest");
    let tolerance = 1e-4 * (sizes + number("bias").abs() + number("rest").abs()) + 1e-6;
    assert!((sum - number("sum")).abs() <= tolerance, "{sum} and {}", number("sum"));
    let output = match shown["relu"].as_f64() {
        Some(slope) if sum < 0.0 => slope * sum,
        _ => sum,
    };
    assert!((output - number("output")).abs() <= tolerance, "{output} and {}", number("output"));
}

/// Text has the contrast that WCAG 2.2 asks for at level AA: 4.5, large text 3.
pub fn contrast(browser: &mut Chromium) {
    let faint = browser.eval(
        r#"(() => {
        const parse = (c) => { const m = c.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0]; return m.length < 4 ? [...m, 1] : m; };
        const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
        const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const page = getComputedStyle(document.documentElement).colorScheme.includes('dark') && matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
        const ground = (e) => { let layers = []; for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
          return layers.reverse().reduce((below, layer) => over(layer, below), page); };
        const faint = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          const e = walker.currentNode.parentElement;
          if (!walker.currentNode.textContent.trim() || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
          if (e.closest('[aria-hidden=true], svg, :disabled, noscript, script, style')) continue;
          const style = getComputedStyle(e), back = ground(e), front = over(parse(style.color), back);
          const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
          const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
          if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) faint.push(`${((a + 0.05) / (b + 0.05)).toFixed(2)} ${e.outerHTML.slice(0, 100)}`);
        }
        return [...new Set(faint)].slice(0, 10); })()"#,
    );
    assert_eq!(faint, serde_json::json!([]), "too faint");
}
