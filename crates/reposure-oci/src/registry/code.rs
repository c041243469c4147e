//! Error codes.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// An error code of the distribution specification, of Distribution's own, or one that is unknown here.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// Another code, as it came.
            Other(String),
        }

        impl ErrorCode {
            /// Takes a code as it came.
            pub fn new(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other(text.into()),
                }
            }

            /// Returns the code as it came.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

codes! {
    /// There is no such blob.
    BlobUnknown = "BLOB_UNKNOWN";
    /// The upload cannot go on.
    BlobUploadInvalid = "BLOB_UPLOAD_INVALID";
    /// There is no such upload.
    BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN";
    /// The content has another digest, or the digest is none.
    DigestInvalid = "DIGEST_INVALID";
    /// The manifest names a blob that is not there.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN";
    /// The manifest is malformed.
    ManifestInvalid = "MANIFEST_INVALID";
    /// There is no such manifest.
    ManifestUnknown = "MANIFEST_UNKNOWN";
    /// The repository's name is not one.
    NameInvalid = "NAME_INVALID";
    /// There is no such repository.
    NameUnknown = "NAME_UNKNOWN";
    /// The content has another size.
    SizeInvalid = "SIZE_INVALID";
    /// The registry wants to know who asks.
    Unauthorized = "UNAUTHORIZED";
    /// Whoever asks may not do this.
    Denied = "DENIED";
    /// The registry does not do this.
    Unsupported = "UNSUPPORTED";
    /// Too many requests.
    TooManyRequests = "TOOMANYREQUESTS";
    /// The bytes are out of order (Distribution).
    RangeInvalid = "RANGE_INVALID";
    /// The page is too large (Distribution).
    PaginationNumberInvalid = "PAGINATION_NUMBER_INVALID";
    /// The tag is none (Distribution).
    TagInvalid = "TAG_INVALID";
    /// The registry does not say (Distribution).
    Unknown = "UNKNOWN";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
