//! The schema's table and the codecs say the same of a key.

use pvx_core::schema::{KEYS, Shape};

use crate::codec::{self, same_property};

#[test]
fn property_strings_are_known_to_the_codecs() {
    for key in KEYS {
        let name = if key.slots == 0 { key.name.to_owned() } else { format!("{}0", key.name) };
        let Shape::Properties(format) = key.shape else {
            let plain = codec::default_key(&name).is_none() || name == "memory";
            assert!(plain, "{name} is a property string for the codecs");
            continue;
        };
        if let Some(default_key) = codec::default_key(&name) {
            // The old form of a boot order has the default key, and is not written.
            assert!(name == "boot" || Some(default_key) == format.default_key, "{name}");
        }
        for property in format.properties {
            let text = format!("x-other=1,{}=value", property.name);
            let found = codec::property(&name, &text, property.name);
            assert_eq!(found.as_deref(), Some("value"), "{name}.{}", property.name);
            if let (Shape::Boolean, Some(default)) = (property.shape, property.default) {
                assert!(
                    same_property(&name, property.name, None, Some(default)),
                    "{name}.{} is {default} by itself",
                    property.name
                );
                let spelled = if default == "1" { "yes" } else { "off" };
                assert!(same_property(&name, property.name, Some(spelled), Some(default)));
            }
        }
    }
}
