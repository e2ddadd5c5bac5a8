//! The `#[plugin]` attribute: all that a plugin author writes beside the impl itself.
#![forbid(unsafe_code)]
use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, ItemImpl, ItemStruct, LitStr, Path, parse_macro_input};

/// Makes an impl of `Allocator`, `Analyzer`, `Driver`, `Metric`, `Qos`, `Resource` or `Sharing` a plugin.
///
/// `#[plugin]` alone takes the crate's name as the id and `Default` as the constructor;
/// `#[plugin(id = "best-fit", new = BestFit::new)]` names both, where `new` is a
/// `fn(&Config) -> Result<Self, Fault>`. With `config = Settings`, a type under `#[config]`, the host can show
/// what may be set; `new` is then a `fn(Settings) -> Result<Self, Fault>`, and without it the plugin is
/// made by `From<Settings>`.
#[proc_macro_attribute]
pub fn plugin(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let (mut id, mut new, mut config): (Option<LitStr>, Option<Path>, Option<Path>) = (None, None, None);
    let options = syn::meta::parser(|meta| {
        if meta.path.is_ident("id") {
            id = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("new") {
            new = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("config") {
            config = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error("expected id = \"...\", config = Type or new = path"));
        }
        Ok(())
    });
    parse_macro_input!(attribute with options);
    let item = parse_macro_input!(item as ItemImpl);
    expand(id, new, config, &item).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a struct the config of a plugin: every key may be left out, and one that is unknown is an error.
/// The struct needs a `Default`; its docs are what the schema says of each key.
#[proc_macro_attribute]
pub fn config(attribute: TokenStream, item: TokenStream) -> TokenStream {
    if !attribute.is_empty() {
        let attribute = proc_macro2::TokenStream::from(attribute);
        return Error::new_spanned(attribute, "#[config] takes nothing").to_compile_error().into();
    }
    let item = parse_macro_input!(item as ItemStruct);
    quote! {
        #[derive(
            ::core::clone::Clone, ::core::fmt::Debug, ::bursar_sdk::__private::serde::Serialize,
            ::bursar_sdk::__private::serde::Deserialize, ::bursar_sdk::__private::schemars::JsonSchema,
        )]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case", crate = "::bursar_sdk::__private::serde")]
        #[schemars(crate = "::bursar_sdk::__private::schemars")]
        #item
    }
    .into()
}

/// What a plugin can be.
const ROLES: [&str; 7] = ["Allocator", "Analyzer", "Driver", "Metric", "Qos", "Resource", "Sharing"];

fn expand(
    id: Option<LitStr>,
    new: Option<Path>,
    config: Option<Path>,
    item: &ItemImpl,
) -> Result<proc_macro2::TokenStream, Error> {
    let roles =
        "#[plugin] goes on `impl Allocator | Analyzer | Driver | Metric | Qos | Resource | Sharing for T`";
    let Some((_, of, _)) = &item.trait_ else { return Err(Error::new_spanned(&item.self_ty, roles)) };
    let Some(role) = of.segments.last().map(|segment| segment.ident.clone()) else {
        return Err(Error::new_spanned(of, roles));
    };
    if !ROLES.contains(&role.to_string().as_str()) {
        return Err(Error::new_spanned(&role, roles));
    }
    let name = role.to_string().to_lowercase();
    let ty = &item.self_ty;
    let id = id.map_or_else(|| quote!(env!("CARGO_PKG_NAME")), |id| quote!(#id));
    let make = match (&new, &config) {
        (Some(new), Some(config)) => quote!(#new(config.parse::<#config>()?)?),
        (None, Some(config)) => {
            quote!(<#ty as ::core::convert::From<#config>>::from(config.parse::<#config>()?))
        }
        (Some(new), None) => quote!(#new(config)?),
        // A config is by name, and may be for the plugin of this name in another role.
        (None, None) => quote!({ let _ = config; <#ty as ::core::default::Default>::default() }),
    };
    let schema = match (&new, config) {
        (_, Some(config)) => quote!(.with_schema(private::schema_of::<#config>)),
        (Some(_), None) => quote!(.with_config()),
        (None, None) => quote!(),
    };
    Ok(quote! {
        #item
        #[allow(unsafe_code)]
        const _: () = {
            use ::bursar_sdk::__private as private;
            const PARTS: &[&str] = &[
                "{\"id\":\"", #id, "\",\"role\":\"", #name, "\",\"library\":\"", env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\",\"abi_req\":\"", private::ABI_REQ,
                "\",\"abi_built\":\"", private::ABI_VERSION, "\",\"panic\":\"", private::PANIC, "\"}\n",
            ];
            #[used]
            #[unsafe(link_section = ".bursar_manifest")]
            static MANIFEST: [u8; private::total(PARTS)] = private::join(PARTS);
            fn make(config: &::bursar_sdk::Config)
                -> ::core::result::Result<::std::boxed::Box<dyn ::bursar_sdk::#role>, ::bursar_sdk::Fault> {
                Ok(::std::boxed::Box::new(#make))
            }
            ::bursar_sdk::__private::inventory::submit! {
                ::bursar_sdk::Entry::new(#id, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), &MANIFEST, ::bursar_sdk::Make::#role(make))#schema
            }
        };
    })
}
