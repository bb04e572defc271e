#[doc(inline)]
pub use crate::api::types::{
    Audio, Bloc, BlocItem, Card, CardAction, CardActionKind, Carousel, Choice,
    ChoiceOption, Content, Dropdown, File, Image, Location, Markdown, Text, Video,
};
