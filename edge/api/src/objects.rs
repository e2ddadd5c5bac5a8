//! Reads an object only where an object is right. What serde derives for a struct also takes a list, by position: there
//! a field that comes anew would change what is meant. Said by a reader around the reader, so that nothing is read twice.
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::fmt;

/// Keys of an object that are told at most.
const TOLD_MAX: usize = 8;

/// Reads what stands here as `T`, all that lies in it included.
pub(crate) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::deserialize(Objects(from))
}

/// Whatever gives values to read: one reader, or what gives several.
pub(crate) struct Objects<D>(pub(crate) D);

/// Goes on with the same care in what lies within.
struct Within<V>(V);

/// Takes an object, and nothing else.
struct Object<V> {
    keys: &'static [&'static str],
    visitor: V,
}

macro_rules! plain {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* visitor)
        }
    )*};
}

macro_rules! careful {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Within(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    plain! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    careful! {
        deserialize_option();
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, keys, Object { keys, visitor })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.keys.len() > TOLD_MAX { ", …" } else { "" };
        write!(f, "an object of {}{more}", self.keys[..self.keys.len().min(TOLD_MAX)].join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Objects(map))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Within<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Objects(from))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Objects(from))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Objects(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Objects(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Objects(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(name, variant)| (name, Objects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Within(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(keys, Object { keys, visitor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Leaf {
        size: u32,
        name: String,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Held(Leaf);

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Bare,
        Leaf(Leaf),
        Pair(Leaf, Leaf),
        Whole { leaf: Leaf },
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Tree {
        leaf: Leaf,
        held: Option<Held>,
        list: Vec<Leaf>,
        pair: (u8, Leaf),
        named: BTreeMap<String, Leaf>,
        kinds: Vec<Kind>,
    }

    fn tree() -> Tree {
        let leaf = || Leaf { size: 7, name: "x".into() };
        let kinds =
            vec![Kind::Bare, Kind::Leaf(leaf()), Kind::Pair(leaf(), leaf()), Kind::Whole { leaf: leaf() }];
        let named = BTreeMap::from([("a".to_owned(), leaf())]);
        Tree { leaf: leaf(), held: Some(Held(leaf())), list: vec![leaf()], pair: (1, leaf()), named, kinds }
    }

    fn read_tree(text: &str) -> Result<Tree, String> {
        read(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_object_is_read_as_one_wherever_it_lies_and_a_list_in_its_place_never() {
        let text = serde_json::to_string(&tree()).expect("plain data");
        assert_eq!(read_tree(&text), Ok(tree()));
        let leaf = r#"{"size":7,"name":"x"}"#;
        let places: Vec<usize> = text.match_indices(leaf).map(|(at, _)| at).collect();
        assert_eq!(places.len(), 9);
        for at in places {
            let wrong = format!("{}{}{}", &text[..at], r#"[7,"x"]"#, &text[at + leaf.len()..]);
            assert!(serde_json::from_str::<Tree>(&wrong).is_ok(), "serde itself takes it: {wrong}");
            let why = read_tree(&wrong).expect_err(&wrong);
            assert!(why.contains("sequence, expected an object of size, name"), "{why}");
        }
        let whole = text.replace(&format!(r#""whole":{{"leaf":{leaf}}}"#), &format!(r#""whole":[{leaf}]"#));
        assert!(
            whole != text && read_tree(&whole).is_err_and(|why| why.contains("an object of leaf")),
            "{whole}"
        );
    }
}
