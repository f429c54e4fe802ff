use haul::server::*;
use std::{path::PathBuf, time::Duration};
fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    rt.block_on(async {
        let a: Vec<String> = std::env::args().collect();
        let s = Server::new(Settings {
            root: PathBuf::from(&a[1]),
            hidden: false,
            follow_symlinks: false,
            timeout: Duration::from_secs(60),
            max_connections: 4096,
        })
        .unwrap();
        let l = bind(&["127.0.0.1".parse().unwrap()], a[2].parse().unwrap())
            .await
            .unwrap();
        let stop = Stop::default();
        s.run(l, stop).await;
    });
}
