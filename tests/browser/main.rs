//! The pages in a real browser: photos uploaded, pasted, ranked; the walk through the network; a training followed; with
//! the mouse, by keyboard alone, on a phone, in light and dark.
//!
//! Where no Chromium is installed this says "skipped". Screenshots are left in `target/browser/`.

#![cfg(feature = "web")]

mod chromium;
mod pages;

use chromium::Chromium;
use pages::{Site, contrast, fits, photos, shot};
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// The browser, or a line that says that there is none.
fn browser() -> Option<Chromium> {
    let browser = Chromium::start();
    if browser.is_none() {
        println!("skipped: pages in a browser: no Chromium is installed");
    }
    browser
}

/// Fails where a page complained of something.
fn content(browser: &Chromium) {
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[test]
fn photos_are_scored_ranked_and_explained() {
    let Some(mut browser) = browser() else { return };
    let (folder, site) = (photos(), Site::start(&[]));
    let photo = |name: &str| folder.path().join(name);
    browser.viewport(1200, 900, false);
    browser.open(&site.url);

    // One photo.
    browser.choose("#files", &[&photo("one.jpg")]);
    browser.wait("document.querySelector('#percent').textContent.includes('%')");
    assert_eq!(browser.eval("document.querySelector('#caveat').hidden"), json!(false));
    browser.click("input[name=overlay][value=occlusion]");
    browser.wait(
        "document.querySelector('#map').width > 1 && !document.querySelector('#legend').hidden",
    );
    browser.wait("document.querySelectorAll('#alike li').length === 8");
    shot(&mut browser, "score-one");
    browser.click("input[name=overlay][value=gradient]");
    browser.wait("document.querySelector('#map').width > 1");
    contrast(&mut browser);

    // Which of three?
    browser.click("#clear");
    browser.choose("#files", &[&photo("one.jpg"), &photo("two.jpg"), &photo("three.png")]);
    browser.wait("document.querySelectorAll('.entry .share').length === 3");
    browser.wait("document.querySelector('#verdict').textContent.startsWith('Post ')");
    let shares = browser.eval(
        "[...document.querySelectorAll('.entry .share')].map((e) => parseInt(e.textContent))",
    );
    let shares: Vec<i64> = serde_json::from_value(shares).expect("numbers");
    assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    shot(&mut browser, "score-three");
    fits(&mut browser);

    // A broken file spoils no other.
    std::fs::write(photo("broken.jpg"), b"\xff\xd8\xff no photo").expect("written");
    browser.choose("#files", &[&photo("broken.jpg")]);
    browser.wait("document.querySelector('.entry.failed .why')");
    assert_eq!(browser.eval("document.querySelectorAll('.entry .share').length"), json!(3));
    // The browser itself notes that the server refused it.
    browser.complaints.retain(|complaint| !complaint.contains("status of 4"));
    content(&browser);
}

#[test]
fn a_photo_behind_a_url_by_keyboard_alone() {
    let Some(mut browser) = browser() else { return };
    let folder = photos();
    let (port, _asked) = pages::serve_file(&folder.path().join("two.jpg"));
    let allowed = ["--allow-url-host", "127.0.0.1", "--allow-url-port", &port.to_string()];
    let site = Site::start(&allowed);
    browser.viewport(1000, 800, false);
    browser.colours("dark");
    browser.open(&site.url);
    browser.wait("!document.querySelector('#url-form').hidden");
    // From the start of the page to the address, without a mouse.
    let mut tabs = 0;
    while browser.eval("document.activeElement.id") != json!("url") {
        browser.press("Tab");
        tabs += 1;
        assert!(tabs < 20, "the address is not reached by Tab");
    }
    browser.type_text(&format!("http://127.0.0.1:{port}/two.jpg"));
    browser.press("Enter");
    browser.wait("document.querySelector('#percent').textContent.includes('%')");
    // On to the overlays; arrows choose among them.
    let mut tabs = 0;
    while browser.eval("document.activeElement.name") != json!("overlay") {
        browser.press("Tab");
        tabs += 1;
        assert!(tabs < 30, "the overlays are not reached by Tab");
    }
    browser.press("ArrowRight");
    browser.wait("document.querySelector('input[name=overlay]:checked').value === 'occlusion'");
    browser.wait("document.querySelector('#map').width > 1");
    shot(&mut browser, "score-dark");
    contrast(&mut browser);
    // An address inside the house is refused, with the reason on the page.
    browser.eval("document.querySelector('#url').focus()");
    browser.type_text("http://169.254.169.254/latest/meta-data");
    browser.press("Enter");
    browser.wait("document.querySelector('.entry.failed .why')");
    browser.complaints.retain(|complaint| !complaint.contains("status of 4"));
    content(&browser);
}

#[test]
fn the_network_is_walked_through() {
    let Some(mut browser) = browser() else { return };
    let (folder, site) = (photos(), Site::start(&[]));
    browser.viewport(1280, 900, false);
    browser.open(&format!("{}/inside", site.url));
    shot(&mut browser, "inside-start");
    contrast(&mut browser);
    browser.choose("input[type=file]", &[&folder.path().join("one.jpg")]);
    browser.click("button[type=submit]");
    browser.wait("document.querySelector('#panel') && document.querySelector('section#l0')");
    shot(&mut browser, "inside-map");
    // Every layer of the network has its section, and the map leads there.
    let layers = browser.eval("document.querySelectorAll('section[id^=l]').length").as_i64();
    assert!(layers >= Some(20), "{layers:?}");
    assert_eq!(
        browser.eval("document.querySelectorAll('#map a[data-to]').length").as_i64(),
        layers
    );

    // A value of each layer with weights under the mouse: what is shown adds up to what is shown.
    let weighted = browser.eval(
        "[...document.querySelectorAll('section.conv, section.dense')].map((section) => section.id)",
    );
    let weighted: Vec<String> = serde_json::from_value(weighted).expect("names");
    assert_eq!(weighted.len(), 7, "{weighted:?}");
    for id in &weighted {
        pages::unfold(&mut browser, id);
        browser.hover(&format!("#{id} .zoom"));
        browser.wait(&format!("document.querySelector('#panel').dataset.node === '{}'", &id[1..]));
        pages::adds_up(&mut browser);
    }
    shot(&mut browser, "inside-value");

    // By keyboard: to a value, along the map, down to the pixels, and back.
    browser.eval(&format!("document.querySelector('#{} .zoom').focus()", weighted[2]));
    let shown = |browser: &mut Chromium, what: &str| {
        browser.eval(&format!("+document.querySelector('#panel').dataset.{what}")).to_string()
    };
    let top = weighted[2][1..].to_string();
    browser.wait(&format!("document.querySelector('#panel').dataset.node === '{top}'"));
    let before = shown(&mut browser, "index");
    browser.press("ArrowDown");
    browser.wait(&format!("+document.querySelector('#panel').dataset.index !== {before}"));
    pages::adds_up(&mut browser);
    browser.press("Enter");
    browser.wait(&format!("+document.querySelector('#panel').dataset.node < {top}"));
    browser.press("Escape");
    browser.wait(&format!("document.querySelector('#panel').dataset.node === '{top}'"));
    contrast(&mut browser);
    content(&browser);
}

#[test]
fn pages_fit_a_phone() {
    let Some(mut browser) = browser() else { return };
    let folder = photos();
    let site = Site::start(&[]);
    browser.viewport(360, 740, true);
    browser.open(&site.url);
    fits(&mut browser);
    browser.choose("#files", &[&folder.path().join("one.jpg"), &folder.path().join("two.jpg")]);
    browser.wait("document.querySelectorAll('.entry .share').length === 2");
    fits(&mut browser);
    shot(&mut browser, "phone-score");
    browser.open(&format!("{}/train", site.url));
    browser.wait("!document.querySelector('#none').hidden");
    fits(&mut browser);
    browser.open(&format!("{}/inside", site.url));
    fits(&mut browser);
    browser.choose("input[type=file]", &[&folder.path().join("one.jpg")]);
    browser.click("button[type=submit]");
    browser.wait("document.querySelector('section#l1')");
    pages::unfold(&mut browser, "l1");
    fits(&mut browser);
    browser.click("section#l1 .zoom");
    browser.wait("document.querySelector('#panel').dataset.node === '1'");
    pages::adds_up(&mut browser);
    shot(&mut browser, "phone-inside");
    content(&browser);
}

#[test]
fn a_training_is_followed() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl");
    let mut file = std::fs::File::create(&log).expect("a file");
    let mut write = |from: usize, to: usize| {
        for iter in from..to {
            let loss = 2.0 / (1.0 + iter as f64 / 10.0);
            let record = json!({"iter": iter, "loss": loss, "smoothed": loss, "lr": 0.01, "images_per_s": 50.0, "seconds": 1.0});
            writeln!(file, "{record}").expect("written");
        }
        let test = json!({"iter": to, "test": 0, "outputs": {"accuracy": 0.5}});
        writeln!(file, "{test}").expect("written");
    };
    write(0, 50);
    let site = Site::start(&["--training", log.to_str().expect("a name")]);
    browser.viewport(1100, 900, false);
    browser.open(&format!("{}/train", site.url));
    browser.wait("document.querySelector('#iter').textContent === '49'");
    write(50, 80);
    browser.wait("document.querySelector('#iter').textContent === '79'");
    browser.wait("document.querySelector('#test').textContent === 'accuracy 0.5'");
    let live = json!({"iter": 80, "batch": 4, "errors": 1, "filters": pages::tiny_png(),
        "wrong": [{"photo": pages::tiny_png(), "label": 1, "guess": 0, "probability": 0.1}]});
    std::fs::write(Path::new(&log).with_file_name("live.json"), live.to_string()).expect("written");
    browser.wait("!document.querySelector('#filters-section').hidden");
    browser.wait("document.querySelector('#wrong li strong').textContent === 'taken for class 0'");
    shot(&mut browser, "train");
    contrast(&mut browser);
    fits(&mut browser);
    content(&browser);
}
