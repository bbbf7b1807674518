// SPDX-License-Identifier: MPL-2.0

//! Writes small databases in MaxMind's format (MaxMind DB file format specification 2.0).

use std::net::IpAddr;

use ipnet::IpNet;

pub enum Value {
    Text(&'static str),
    Float(f64),
    Integer(u32),
    Map(Vec<(&'static str, Value)>),
}

impl Value {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), to);
                to.extend(text.as_bytes());
            }
            Self::Float(number) => {
                control(3, 8, to);
                to.extend(number.to_be_bytes());
            }
            Self::Integer(number) => {
                control(6, 4, to);
                to.extend(number.to_be_bytes());
            }
            Self::Map(fields) => {
                control(7, fields.len(), to);
                for (name, value) in fields {
                    Self::Text(name).write(to);
                    value.write(to);
                }
            }
        }
    }
}

fn control(kind: u8, size: usize, to: &mut Vec<u8>) {
    assert!(size < 29 + 256, "longer than a test needs");
    match u8::try_from(size) {
        Ok(size) if size < 29 => to.push(kind << 5 | size),
        _ => to.extend([kind << 5 | 29, (size - 29) as u8]),
    }
}

/// A database of these networks, all of one IP version.
pub fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let networks: Vec<(IpNet, &Value)> =
        networks.iter().map(|(network, value)| (network.parse().unwrap(), value)).collect();
    let v4 = networks[0].0.addr().is_ipv4();

    // Records: a node, a value or nothing.
    #[derive(Clone, Copy)]
    enum Record {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let bits = match network.network() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mut node = 0;
        let length = u32::from(network.prefix_len());
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[node][side] = Record::Data(data.len());
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                node = next;
            }
        }
        value.write(&mut data);
    }

    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        file.extend(&(number as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    control(7, 9, &mut file);
    let mut field = |name: &'static str, kind: u8, bytes: &[u8]| {
        Value::Text(name).write(&mut file);
        if kind > 7 {
            file.extend([bytes.len() as u8, kind - 7]);
        } else {
            control(kind, bytes.len(), &mut file);
        }
        file.extend(bytes);
    };
    field("node_count", 6, &(nodes.len() as u32).to_be_bytes());
    field("record_size", 5, &24u16.to_be_bytes());
    field("ip_version", 5, &(if v4 { 4u16 } else { 6 }).to_be_bytes());
    field("database_type", 2, b"Test");
    field("binary_format_major_version", 5, &2u16.to_be_bytes());
    field("binary_format_minor_version", 5, &0u16.to_be_bytes());
    field("build_epoch", 9, &1_700_000_000u64.to_be_bytes());
    field("languages", 11, &[]);
    field("description", 7, &[]);
    file
}
