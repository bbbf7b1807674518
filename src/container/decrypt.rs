// SPDX-License-Identifier: MPL-2.0

//! Segments that are encrypted as a whole: AES-128 or AES-256 in CBC mode with PKCS#7 padding, RFC
//! 8216bis 4.4.4.4. Plaintext comes out as ciphertext goes in, but for the last block, which has
//! the padding in it.

use std::fmt;

use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use aes::{Aes128, Aes256};
use bytes::Bytes;
use cbc::Decryptor as Cbc;

const BLOCK: usize = 16;

/// Why there is no plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("a key has 16 or 32 bytes, this one has {0}")]
    KeyLength(usize),
    /// Cut short, or not encrypted at all.
    #[error("its length is not a multiple of 16 bytes")]
    Length,
    /// The wrong key shows in 254 of 255 segments; the others are garbage.
    #[error("the key does not fit")]
    Padding,
}

enum Cipher {
    Aes128(Box<Cbc<Aes128>>),
    Aes256(Box<Cbc<Aes256>>),
}

/// Decrypts one segment.
pub struct Decryptor {
    cipher: Cipher,
    /// What has not been decrypted yet: less than a block, or the block that may be the last.
    held: Vec<u8>,
}

impl Decryptor {
    /// The length of the key, 16 or 32 bytes, says which cipher it is.
    pub fn new(key: &[u8], vector: &[u8; BLOCK]) -> Result<Self, DecryptError> {
        let wrong = |_| DecryptError::KeyLength(key.len());
        let cipher = match key.len() {
            32 => Cipher::Aes256(Box::new(Cbc::new_from_slices(key, vector).map_err(wrong)?)),
            _ => Cipher::Aes128(Box::new(Cbc::new_from_slices(key, vector).map_err(wrong)?)),
        };
        Ok(Self { cipher, held: Vec::new() })
    }

    /// Takes the next bytes. Gives what can be told of the plaintext now.
    pub fn push(&mut self, bytes: &[u8]) -> Bytes {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let kept = match all.len() % BLOCK {
            0 => BLOCK.min(all.len()),
            rest => rest,
        };
        self.held = all.split_off(all.len() - kept);
        self.decrypt(&mut all);
        all.into()
    }

    /// The segment is whole. Gives the rest of the plaintext.
    pub fn finish(mut self) -> Result<Bytes, DecryptError> {
        let mut last = std::mem::take(&mut self.held);
        if last.len() != BLOCK {
            return Err(DecryptError::Length);
        }
        self.decrypt(&mut last);
        let padding = last[BLOCK - 1];
        let text = BLOCK.checked_sub(padding.into()).filter(|text| *text < BLOCK);
        let text = text.filter(|text| last[*text..].iter().all(|byte| *byte == padding));
        last.truncate(text.ok_or(DecryptError::Padding)?);
        Ok(last.into())
    }

    /// Whole blocks, in place.
    fn decrypt(&mut self, blocks: &mut [u8]) {
        let (blocks, _) = InOutBuf::from(blocks).into_chunks();
        match &mut self.cipher {
            Cipher::Aes128(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
            Cipher::Aes256(cipher) => cipher.decrypt_blocks_inout_mut(blocks),
        }
    }
}

/// The key stays out of logs.
impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockEncryptMut;
    use aes::cipher::block_padding::Pkcs7;
    use proptest::prelude::*;

    use super::*;

    fn decrypt(key: &[u8], vector: &[u8; 16], pieces: &[&[u8]]) -> Result<Vec<u8>, DecryptError> {
        let mut decryptor = Decryptor::new(key, vector)?;
        let mut plain: Vec<u8> = pieces.iter().flat_map(|piece| decryptor.push(piece)).collect();
        plain.extend(decryptor.finish()?);
        Ok(plain)
    }

    fn encrypt(key: &[u8; 16], vector: &[u8; 16], plain: &[u8]) -> Vec<u8> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + BLOCK, 0);
        let cipher = cbc::Encryptor::<Aes128>::new(key.into(), vector.into());
        cipher.encrypt_padded_mut::<Pkcs7>(&mut buffer, plain.len()).expect("room for the padding").to_vec()
    }

    /// NIST SP 800-38A, F.2.1 and F.2.5: the first block of each.
    #[test]
    fn agrees_with_what_is_published() {
        let vector: [u8; 16] = std::array::from_fn(|n| n as u8);
        let plain = hex("6bc1bee22e409f96e93d7e117393172a");
        let cases = [
            ("2b7e151628aed2a6abf7158809cf4f3c", "7649abac8119b246cee98e9b12e9197d"),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
            ),
        ];
        for (key, cipher) in cases {
            let mut decryptor = Decryptor::new(&hex(key), &vector).expect("a key");
            let first = decryptor.push(&[&hex(cipher)[..], &[0; 16]].concat());
            assert_eq!(first, plain);
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(decrypt(&[0; 15], &[0; 16], &[]).err(), Some(DecryptError::KeyLength(15)));
        assert_eq!(decrypt(&[0; 16], &[0; 16], &[]).err(), Some(DecryptError::Length));
        assert_eq!(decrypt(&[0; 16], &[0; 16], &[&[1; 17]]).err(), Some(DecryptError::Length));
        let cipher = encrypt(&[1; 16], &[0; 16], b"a segment");
        assert_eq!(decrypt(&[1; 16], &[0; 16], &[&cipher]), Ok(b"a segment".to_vec()));
        assert_eq!(decrypt(&[2; 16], &[0; 16], &[&cipher]).err(), Some(DecryptError::Padding));
    }

    proptest! {
        #[test]
        fn gives_back_what_was_encrypted(
            plain in prop::collection::vec(any::<u8>(), 0..200), key: [u8; 16], vector: [u8; 16],
            cuts in prop::collection::vec(0usize..40, 0..9),
        ) {
            let cipher = encrypt(&key, &vector, &plain);
            let mut rest = &cipher[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(decrypt(&key, &vector, &pieces), Ok(plain));
        }
    }
}
