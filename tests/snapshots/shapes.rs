#[allow(unused_imports)]
pub use progenitor_client::{ByteStream, ClientInfo, Error, ResponseValue};
#[allow(unused_imports)]
use progenitor_client::{encode_path, ClientHooks, OperationInfo, RequestBuilderExt};
/// Types used as operation parameters and responses.
#[allow(clippy::all)]
pub mod types {
    ///A thing to find or create.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(deny_unknown_fields)]
    #[non_exhaustive]
    pub struct Body {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub amount: ::std::option::Option<::serde_json::Number>,
        ///By when.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub due: ::std::option::Option<::chrono::DateTime<::chrono::offset::Utc>>,
        ///By what names. Each item has at least 1 characters.
        #[serde(default, skip_serializing_if = "::std::vec::Vec::is_empty")]
        pub names: ::std::vec::Vec<::std::string::String>,
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
    }
    ///A time with a name.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(transparent)]
    #[non_exhaustive]
    pub struct Box(
        #[serde(deserialize_with = "crate::decode::date")]
        pub ::chrono::DateTime<::chrono::offset::Utc>,
    );
    impl ::std::ops::Deref for Box {
        type Target = ::chrono::DateTime<::chrono::offset::Utc>;
        fn deref(&self) -> &::chrono::DateTime<::chrono::offset::Utc> {
            &self.0
        }
    }
    impl ::std::convert::From<Box> for ::chrono::DateTime<::chrono::offset::Utc> {
        fn from(value: Box) -> Self {
            value.0
        }
    }
    impl ::std::convert::From<::chrono::DateTime<::chrono::offset::Utc>> for Box {
        fn from(value: ::chrono::DateTime<::chrono::offset::Utc>) -> Self {
            Self(value)
        }
    }
    impl ::std::fmt::Display for Box {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            self.0.fmt(f)
        }
    }
    impl ::std::str::FromStr for Box {
        type Err = <::chrono::DateTime<
            ::chrono::offset::Utc,
        > as ::std::str::FromStr>::Err;
        fn from_str(value: &str) -> ::std::result::Result<Self, Self::Err> {
            Ok(Self(value.parse()?))
        }
    }
    impl ::std::convert::TryFrom<&str> for Box {
        type Error = <::chrono::DateTime<
            ::chrono::offset::Utc,
        > as ::std::str::FromStr>::Err;
        fn try_from(value: &str) -> ::std::result::Result<Self, Self::Error> {
            value.parse()
        }
    }
    impl ::std::convert::TryFrom<String> for Box {
        type Error = <::chrono::DateTime<
            ::chrono::offset::Utc,
        > as ::std::str::FromStr>::Err;
        fn try_from(value: String) -> ::std::result::Result<Self, Self::Error> {
            value.parse()
        }
    }
    ///One of two, by type.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[serde(tag = "type", content = "payload")]
    #[non_exhaustive]
    pub enum Choice {
        #[serde(rename = "self")]
        Self_(Result),
        #[serde(rename = "vec")]
        Vec(Vec),
    }
    impl ::std::convert::From<Result> for Choice {
        fn from(value: Result) -> Self {
            Self::Self_(value)
        }
    }
    impl ::std::convert::From<Vec> for Choice {
        fn from(value: Vec) -> Self {
            Self::Vec(value)
        }
    }
    ///A closed enumeration.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Copy,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    #[non_exhaustive]
    pub enum Default {
        #[serde(rename = "self")]
        Self_,
        Other,
        #[serde(rename = "3d")]
        X3d,
    }
    impl ::std::fmt::Display for Default {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            match *self {
                Self::Self_ => f.write_str("self"),
                Self::Other => f.write_str("Other"),
                Self::X3d => f.write_str("3d"),
            }
        }
    }
    impl ::std::str::FromStr for Default {
        type Err = self::error::ConversionError;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            match value {
                "self" => Ok(Self::Self_),
                "Other" => Ok(Self::Other),
                "3d" => Ok(Self::X3d),
                _ => Err("invalid value".into()),
            }
        }
    }
    impl ::std::convert::TryFrom<&str> for Default {
        type Error = self::error::ConversionError;
        fn try_from(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    impl ::std::convert::TryFrom<::std::string::String> for Default {
        type Error = self::error::ConversionError;
        fn try_from(
            value: ::std::string::String,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    ///An error.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        Default,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct Error {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        #[serde(default)]
        #[serde(deserialize_with = "crate::decode::or_default")]
        pub message: ::std::option::Option<::std::string::String>,
    }
    ///`Meta`
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct Meta {
        pub created: bool,
    }
    ///A list with a name.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(transparent)]
    #[non_exhaustive]
    pub struct Option(pub ::std::vec::Vec<i64>);
    impl ::std::ops::Deref for Option {
        type Target = ::std::vec::Vec<i64>;
        fn deref(&self) -> &::std::vec::Vec<i64> {
            &self.0
        }
    }
    impl ::std::convert::From<Option> for ::std::vec::Vec<i64> {
        fn from(value: Option) -> Self {
            value.0
        }
    }
    impl ::std::convert::From<::std::vec::Vec<i64>> for Option {
        fn from(value: ::std::vec::Vec<i64>) -> Self {
            Self(value)
        }
    }
    ///What there is.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct Response {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub meta: ::std::option::Option<Meta>,
        #[serde(rename = "self")]
        pub self_: Thing,
    }
    ///An open object that is called like a type of the prelude.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct Result {
        ///How many.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub amount: ::std::option::Option<::serde_json::Number>,
        ///Whether.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub flag: ::std::option::Option<bool>,
        ///Whatever there is.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub free: ::std::option::Option<::serde_json::Value>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub from: ::std::option::Option<From>,
        ///A number.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub half: ::std::option::Option<f32>,
        ///Some.
        pub items: ::std::vec::Vec<::std::string::String>,
        ///Some more.
        #[serde(default, skip_serializing_if = "::std::vec::Vec::is_empty")]
        pub more: ::std::vec::Vec<Vec>,
        ///By name.
        #[serde(
            default,
            skip_serializing_if = ":: std :: collections :: BTreeMap::is_empty"
        )]
        pub names: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
        ///One more.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub next: ::std::option::Option<::std::boxed::Box<Result>>,
        ///A keyword.
        #[serde(rename = "self")]
        pub self_: ::std::string::String,
        ///At some time.
        #[serde(deserialize_with = "crate::decode::date")]
        pub when: ::chrono::DateTime<::chrono::offset::Utc>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A thing with every type of property.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct Thing {
        ///Whatever there is.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub any: ::std::option::Option<::serde_json::Value>,
        #[serde(
            default,
            skip_serializing_if = ":: std :: collections :: BTreeMap::is_empty"
        )]
        pub counts: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::option::Option<i32>,
        >,
        #[serde(
            rename = "crate",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub crate_: ::std::option::Option<Default>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub day: ::std::option::Option<::chrono::naive::NaiveDate>,
        #[serde(deserialize_with = "crate::decode::date")]
        pub due: ::chrono::DateTime<::chrono::offset::Utc>,
        pub id: ::std::string::String,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub list: ::std::option::Option<::std::vec::Vec<f64>>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub none: ::std::option::Option<::std::string::String>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub other: ::std::option::Option<From>,
        #[serde(default, skip_serializing_if = "::std::vec::Vec::is_empty")]
        pub parts: ::std::vec::Vec<Thing>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub ratio: ::std::option::Option<f32>,
        #[serde(rename = "type", skip_serializing_if = "::std::option::Option::is_none")]
        pub type_: ::std::option::Option<::std::string::String>,
        #[serde(rename = "2fa", skip_serializing_if = "::std::option::Option::is_none")]
        pub x2fa: ::std::option::Option<::std::string::String>,
    }
    ///Free.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(transparent)]
    #[non_exhaustive]
    pub struct Vec(pub ::serde_json::Map<::std::string::String, ::serde_json::Value>);
    impl ::std::ops::Deref for Vec {
        type Target = ::serde_json::Map<::std::string::String, ::serde_json::Value>;
        fn deref(
            &self,
        ) -> &::serde_json::Map<::std::string::String, ::serde_json::Value> {
            &self.0
        }
    }
    impl ::std::convert::From<Vec>
    for ::serde_json::Map<::std::string::String, ::serde_json::Value> {
        fn from(value: Vec) -> Self {
            value.0
        }
    }
    impl ::std::convert::From<
        ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    > for Vec {
        fn from(
            value: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        ) -> Self {
            Self(value)
        }
    }
    ///Words.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    #[serde(transparent)]
    #[non_exhaustive]
    pub struct Visitor(pub ::std::string::String);
    impl ::std::ops::Deref for Visitor {
        type Target = ::std::string::String;
        fn deref(&self) -> &::std::string::String {
            &self.0
        }
    }
    impl ::std::convert::From<Visitor> for ::std::string::String {
        fn from(value: Visitor) -> Self {
            value.0
        }
    }
    impl ::std::convert::From<::std::string::String> for Visitor {
        fn from(value: ::std::string::String) -> Self {
            Self(value)
        }
    }
    impl ::std::fmt::Display for Visitor {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            self.0.fmt(f)
        }
    }
    impl ::std::str::FromStr for Visitor {
        type Err = ::std::convert::Infallible;
        fn from_str(value: &str) -> ::std::result::Result<Self, Self::Err> {
            Ok(Self(value.to_string()))
        }
    }
    /// Error types.
    pub mod error {
        /// Error from a `TryFrom` or `FromStr` implementation.
        pub struct ConversionError(::std::borrow::Cow<'static, str>);
        impl ::std::error::Error for ConversionError {}
        impl ::std::fmt::Display for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
        impl ::std::fmt::Debug for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
        impl From<&'static str> for ConversionError {
            fn from(value: &'static str) -> Self {
                Self(value.into())
            }
        }
        impl From<String> for ConversionError {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }
    }
    ///An open enumeration that is called like a trait.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum From {
        ///`self`: A keyword.
        Self_,
        ///`3d`: A digit.
        X3d,
        ///``: Nothing.
        X,
        ///`post-back`: A dash.
        PostBack,
        ///`Err`: As in a result.
        Err,
        /// A value that this version of the crate does not know.
        Other(::std::string::String),
    }
    impl From {
        /// The value as the API writes it.
        pub fn as_str(&self) -> &str {
            match self {
                Self::Self_ => "self",
                Self::X3d => "3d",
                Self::X => "",
                Self::PostBack => "post-back",
                Self::Err => "Err",
                Self::Other(value) => value,
            }
        }
    }
    impl ::std::convert::From<&str> for From {
        fn from(value: &str) -> Self {
            match value {
                "self" => Self::Self_,
                "3d" => Self::X3d,
                "" => Self::X,
                "post-back" => Self::PostBack,
                "Err" => Self::Err,
                other => Self::Other(other.to_owned()),
            }
        }
    }
    impl ::std::convert::From<::std::string::String> for From {
        fn from(value: ::std::string::String) -> Self {
            value.as_str().into()
        }
    }
    impl ::std::str::FromStr for From {
        type Err = ::std::convert::Infallible;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, ::std::convert::Infallible> {
            ::std::result::Result::Ok(value.into())
        }
    }
    /// Compares the values as the API writes them.
    impl ::std::cmp::PartialEq for From {
        fn eq(&self, other: &Self) -> bool {
            self.as_str() == other.as_str()
        }
    }
    impl ::std::cmp::Eq for From {}
    impl ::std::hash::Hash for From {
        fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
            ::std::hash::Hash::hash(self.as_str(), state);
        }
    }
    impl<'de> ::serde::Deserialize<'de> for From {
        fn deserialize<D: ::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::std::result::Result<Self, D::Error> {
            crate::decode::open_enum(deserializer)
        }
    }
    impl ::serde::Serialize for From {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl ::std::fmt::Display for From {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str(self.as_str())
        }
    }
    impl Body {
        /// With only the required properties.
        #[allow(dead_code)]
        pub(crate) fn from_required(
            tags: ::std::collections::BTreeMap<
                ::std::string::String,
                ::std::string::String,
            >,
        ) -> Self {
            Self {
                tags: tags,
                due: ::std::default::Default::default(),
                names: ::std::default::Default::default(),
                amount: ::std::default::Default::default(),
            }
        }
        ///By when.
        #[must_use]
        pub fn due(mut self, due: ::chrono::DateTime<::chrono::offset::Utc>) -> Self {
            self.due = ::std::option::Option::Some(due);
            self
        }
        ///By what names. Each item has at least 1 characters.
        #[must_use]
        pub fn names(
            mut self,
            names: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<::std::string::String>,
            >,
        ) -> Self {
            self.names = names.into_iter().map(::std::convert::Into::into).collect();
            self
        }
        ///As a number.
        #[must_use]
        pub fn amount(mut self, amount: ::serde_json::Number) -> Self {
            self.amount = ::std::option::Option::Some(amount);
            self
        }
    }
    impl ::serde::Serialize for Result {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("self") {
                map.serialize_entry("self", &self.self_)?;
            }
            if !self.extra.contains_key("items") {
                map.serialize_entry("items", &self.items)?;
            }
            if !self.extra.contains_key("when") {
                map.serialize_entry("when", &self.when)?;
            }
            if !self.extra.contains_key("next") {
                if let ::std::option::Option::Some(value) = &self.next {
                    map.serialize_entry("next", value)?;
                }
            }
            if !self.extra.contains_key("from") {
                if let ::std::option::Option::Some(value) = &self.from {
                    map.serialize_entry("from", value)?;
                }
            }
            if !self.extra.contains_key("more") {
                if !self.more.is_empty() {
                    map.serialize_entry("more", &self.more)?;
                }
            }
            if !self.extra.contains_key("half") {
                if let ::std::option::Option::Some(value) = &self.half {
                    map.serialize_entry("half", value)?;
                }
            }
            if !self.extra.contains_key("flag") {
                if let ::std::option::Option::Some(value) = &self.flag {
                    map.serialize_entry("flag", value)?;
                }
            }
            if !self.extra.contains_key("names") {
                if !self.names.is_empty() {
                    map.serialize_entry("names", &self.names)?;
                }
            }
            if !self.extra.contains_key("amount") {
                if let ::std::option::Option::Some(value) = &self.amount {
                    map.serialize_entry("amount", value)?;
                }
            }
            if !self.extra.contains_key("free") {
                if let ::std::option::Option::Some(value) = &self.free {
                    map.serialize_entry("free", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Result {
        ///An open object that is called like a type of the prelude.
        #[must_use]
        pub fn new(
            self_: impl ::std::convert::Into<::std::string::String>,
            items: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<::std::string::String>,
            >,
            when: ::chrono::DateTime<::chrono::offset::Utc>,
        ) -> Self {
            Self {
                self_: self_.into(),
                items: items.into_iter().map(::std::convert::Into::into).collect(),
                when: when,
                next: ::std::default::Default::default(),
                from: ::std::default::Default::default(),
                more: ::std::default::Default::default(),
                half: ::std::default::Default::default(),
                flag: ::std::default::Default::default(),
                names: ::std::default::Default::default(),
                amount: ::std::default::Default::default(),
                free: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///One more.
        #[must_use]
        pub fn next(mut self, next: impl ::std::convert::Into<Result>) -> Self {
            self.next = ::std::option::Option::Some(::std::boxed::Box::new(next.into()));
            self
        }
        ///An open enumeration that is called like a trait.
        #[must_use]
        pub fn from(mut self, from: impl ::std::convert::Into<From>) -> Self {
            self.from = ::std::option::Option::Some(from.into());
            self
        }
        ///Some more.
        #[must_use]
        pub fn more(mut self, more: impl ::std::iter::IntoIterator<Item = Vec>) -> Self {
            self.more = more.into_iter().collect();
            self
        }
        ///A number.
        #[must_use]
        pub fn half(mut self, half: f32) -> Self {
            self.half = ::std::option::Option::Some(half);
            self
        }
        ///Whether.
        #[must_use]
        pub fn flag(mut self, flag: bool) -> Self {
            self.flag = ::std::option::Option::Some(flag);
            self
        }
        ///By name.
        #[must_use]
        pub fn names(
            mut self,
            names: ::std::collections::BTreeMap<
                ::std::string::String,
                ::std::string::String,
            >,
        ) -> Self {
            self.names = names;
            self
        }
        ///How many.
        #[must_use]
        pub fn amount(mut self, amount: ::serde_json::Number) -> Self {
            self.amount = ::std::option::Option::Some(amount);
            self
        }
        ///Whatever there is.
        #[must_use]
        pub fn free(mut self, free: ::serde_json::Value) -> Self {
            self.free = ::std::option::Option::Some(free);
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::std::fmt::Debug for Thing {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.debug_struct("Thing")
                .field("any", &self.any)
                .field("counts", &self.counts)
                .field("crate_", &::std::format_args!("_"))
                .field("day", &self.day)
                .field("due", &self.due)
                .field("id", &self.id)
                .field("list", &self.list)
                .field("none", &self.none)
                .field("other", &self.other)
                .field("parts", &self.parts)
                .field("ratio", &self.ratio)
                .field("type_", &::std::format_args!("_"))
                .field("x2fa", &::std::format_args!("_"))
                .finish()
        }
    }
}
#[derive(Clone, Debug)]
/**Client for Shapes

Version: 1*/
pub struct Client {
    pub(crate) baseurl: String,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: crate::attempt::Hooks,
}
impl Client {
    /// Create a new client.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new(baseurl: &str, inner: crate::attempt::Hooks) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        let client = {
            let dur = ::std::time::Duration::from_secs(15u64);
            reqwest::ClientBuilder::new().connect_timeout(dur).timeout(dur)
        };
        #[cfg(target_arch = "wasm32")]
        let client = reqwest::ClientBuilder::new();
        Self::new_with_client(baseurl, client.build().unwrap(), inner)
    }
    /// Construct a new client with an existing `reqwest::Client`,
    /// allowing more control over its configuration.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new_with_client(
        baseurl: &str,
        client: reqwest::Client,
        inner: crate::attempt::Hooks,
    ) -> Self {
        Self {
            baseurl: baseurl.to_string(),
            client,
            inner,
        }
    }
}
impl ClientInfo<crate::attempt::Hooks> for Client {
    fn api_version() -> &'static str {
        "1"
    }
    fn baseurl(&self) -> &str {
        self.baseurl.as_str()
    }
    fn client(&self) -> &reqwest::Client {
        &self.client
    }
    fn inner(&self) -> &crate::attempt::Hooks {
        &self.inner
    }
}
const _: () = {
    #[allow(dead_code)]
    fn assert_client_hooks()
    where
        Client: ClientHooks<crate::attempt::Hooks>,
    {}
};
#[allow(clippy::all)]
impl Client {
    /**Sends a `POST` request to `/v1/things`

*/
    pub async fn type_<'a>(
        &'a self,
        body: &'a types::Body,
    ) -> Result<ResponseValue<types::Response>, Error<()>> {
        let url = format!("{}/v1/things", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .json(&body)
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "type_",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
}
/// Items consumers will typically use such as the Client.
pub mod prelude {
    #[allow(unused_imports)]
    pub use super::Client;
}
