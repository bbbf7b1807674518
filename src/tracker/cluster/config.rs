// SPDX-License-Identifier: MPL-2.0

//! Where the cluster's Redis is.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo};

/// A Redis and what to call things there.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `redis://` or `rediss://` with user and password; several addresses of a Redis Cluster.
    pub urls: Vec<String>,
    /// Whether they are a Redis Cluster.
    pub sharded: bool,
    /// What all keys and channels begin with, so that several clusters can share one Redis.
    pub prefix: String,
}

impl ClusterConfig {
    /// # Errors
    ///
    /// If an URL makes no sense, or there are several of a Redis that is no cluster.
    pub fn new(urls: Vec<String>, sharded: bool, prefix: String) -> Result<Self, String> {
        for url in &urls {
            // The error of the URL's reader could show the password.
            url.as_str().into_connection_info().map_err(|_| "redis: not a redis:// URL".to_owned())?;
        }
        if urls.len() > 1 && !sharded {
            return Err("redis: several URLs need redis-cluster".to_owned());
        }
        Ok(Self { urls, sharded, prefix })
    }
}

/// Logs show where Redis is, but not the password.
impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |url: &String| {
            let info = url.as_str().into_connection_info();
            info.map_or_else(
                |_| "?".to_owned(),
                |info| match info.addr() {
                    ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
                    ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port} (TLS)"),
                    other => other.to_string(),
                },
            )
        };
        f.debug_struct("ClusterConfig")
            .field("redis", &self.urls.iter().map(address).collect::<Vec<_>>())
            .field("sharded", &self.sharded)
            .field("prefix", &self.prefix)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_out_of_logs() {
        let url = "redis://operator:secret@redis.example:6380/".to_owned();
        let config = ClusterConfig::new(vec![url], false, "p2phls".into()).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("redis.example:6380") && !shown.contains("secret"), "{shown}");
        let error = ClusterConfig::new(vec!["http://:secret@x".into()], false, String::new()).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(ClusterConfig::new(vec!["redis://a".into(), "redis://b".into()], false, "p".into()).is_err());
    }
}
