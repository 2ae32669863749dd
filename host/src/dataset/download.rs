//! Files from the network.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Writes what `url` gives to `path` and shows the way there as `name`; more than `limit` bytes are an error.
///
/// # Errors
/// Those of the network and of the file system; a part of the file may then be there.
pub fn fetch(url: &str, name: &str, limit: u64, path: &Path) -> Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_recv_body(Some(Duration::from_secs(600)))
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    let length = response.body().content_length();
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new).with_message(name.to_owned());
    let style = ProgressStyle::with_template("{msg:28} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")?;
    let body = response.body_mut().with_config().limit(limit).reader();
    let mut body = bar.with_style(style).wrap_read(body);
    std::io::copy(&mut body, &mut File::create(path)?)?;
    body.progress.finish();
    Ok(())
}

#[cfg(test)]
pub mod testing {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Address of a server that gives `body` for every request and claims that it is `length` bytes long.
    pub fn mirror(body: impl Into<Vec<u8>>, length: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let body = body.into();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        url
    }
}
