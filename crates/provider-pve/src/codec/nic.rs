//! Network devices: `net0`, …

use std::fmt;

use pvx_core::schema::NIC_MODELS;

use super::{PropertyError, PropertyString, parse_boolean};

/// The value of a `netN` key. Model and MAC address are spelled in three ways, and read alike:
/// `virtio=BC:24:11:…,bridge=vmbr0` (as stored), `virtio,bridge=vmbr0` (the MAC is to be made up),
/// and `model=virtio,macaddr=BC:24:11:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    properties: PropertyString,
}

impl Nic {
    /// Reads a network device.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string, has no model, or has two.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let nic = Self { properties: PropertyString::parse(text, Some("model"))? };
        let named = nic.properties.iter().filter(|(key, _)| NIC_MODELS.contains(key)).count();
        let model = usize::from(nic.properties.get("model").is_some());
        match named + model {
            0 => Err(PropertyError::Required("model")),
            1 if named == 1 && nic.properties.get("macaddr").is_some() => {
                Err(PropertyError::Duplicate("macaddr".to_owned()))
            }
            1 => Ok(nic),
            _ => Err(PropertyError::Duplicate("model".to_owned())),
        }
    }

    /// A device of this model without a MAC address: Proxmox makes one up.
    ///
    /// # Errors
    /// [`PropertyError::Value`] when the model cannot stand in a property string.
    pub fn new(model: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new(Some("model"));
        properties.set("model", model)?;
        Ok(Self { properties })
    }

    /// The entry whose key is the model and whose value is the MAC address.
    fn model_entry(&self) -> Option<(&str, &str)> {
        self.properties.iter().find(|(key, _)| NIC_MODELS.contains(key))
    }

    /// The model, for instance `virtio`.
    #[must_use]
    pub fn model(&self) -> &str {
        let named = self.model_entry().map(|(model, _)| model);
        named.or_else(|| self.properties.get("model")).unwrap_or_default()
    }

    /// The MAC address in upper case, when there is one.
    #[must_use]
    pub fn macaddr(&self) -> Option<String> {
        let named = self.model_entry().map(|(_, mac)| mac);
        let mac = named.or_else(|| self.properties.get("macaddr"))?;
        Some(normalize_mac(mac).unwrap_or_else(|| mac.to_owned()))
    }

    /// Sets the MAC address, and spells it with the model as Proxmox stores it.
    ///
    /// # Errors
    /// [`PropertyError::Value`] when it is no unicast MAC address.
    pub fn set_macaddr(&mut self, mac: &str) -> Result<(), PropertyError> {
        let mac = normalize_mac(mac).ok_or_else(|| PropertyError::Value("macaddr".to_owned()))?;
        let model = self.model().to_owned();
        let key = if self.model_entry().is_some() { model.clone() } else { "model".to_owned() };
        if NIC_MODELS.contains(&model.as_str()) {
            self.properties.replace(&key, &model, &mac);
            self.properties.remove("macaddr");
            return Ok(());
        }
        self.properties.set("macaddr", &mac)
    }

    /// Sets the model and keeps the MAC address.
    ///
    /// # Errors
    /// [`PropertyError::Value`] when the model is none that Proxmox VE knows.
    pub fn set_model(&mut self, model: &str) -> Result<(), PropertyError> {
        if !NIC_MODELS.contains(&model) {
            return Err(PropertyError::Value("model".to_owned()));
        }
        match self.model_entry().map(|(key, mac)| (key.to_owned(), mac.to_owned())) {
            Some((key, mac)) => self.properties.replace(&key, model, &mac),
            None => self.properties.set("model", model)?,
        }
        Ok(())
    }

    /// The bridge or VNet.
    #[must_use]
    pub fn bridge(&self) -> Option<&str> {
        self.get("bridge")
    }

    /// The VLAN tag, 1 to 4094.
    #[must_use]
    pub fn tag(&self) -> Option<u16> {
        self.get("tag").and_then(|t| t.parse().ok())
    }

    /// Whether the firewall works on it.
    #[must_use]
    pub fn firewall(&self) -> bool {
        self.get("firewall").and_then(parse_boolean).unwrap_or(false)
    }

    /// The value of any other key (`mtu`, `queues`, `rate`, `link_down`, `trunks`, …).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.properties.get(key)
    }

    /// Sets any other key. Model and MAC address have methods of their own.
    ///
    /// # Errors
    /// As [`PropertyString::set`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        match key {
            "model" => self.set_model(value),
            "macaddr" => self.set_macaddr(value),
            _ => self.properties.set(key, value),
        }
    }

    /// Removes any other key. The model stays.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        if key == "model" || NIC_MODELS.contains(&key) { None } else { self.properties.remove(key) }
    }

    /// All keys and values as they are spelled.
    #[must_use]
    pub fn properties(&self) -> &PropertyString {
        &self.properties
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

/// A unicast MAC address in upper case (`pve_verify_mac_addr`: six pairs, the lowest bit of the
/// first not set), or `None`.
#[must_use]
pub fn normalize_mac(text: &str) -> Option<String> {
    let pairs: Vec<&str> = text.split(':').collect();
    let pair = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
    let first = u8::from_str_radix(pairs.first()?, 16).ok()?;
    let fits = pairs.len() == 6 && pairs.iter().all(pair) && first & 1 == 0;
    fits.then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_spellings() {
        for text in [
            "virtio=BC:24:11:6A:35:05,bridge=vmbr0,tag=20,firewall=1",
            "model=virtio,macaddr=bc:24:11:6a:35:05,bridge=vmbr0,tag=20,firewall=on",
            "bridge=vmbr0,macaddr=BC:24:11:6a:35:05,virtio,tag=20,firewall=yes",
        ] {
            let nic = Nic::parse(text).unwrap();
            assert_eq!(nic.model(), "virtio", "{text}");
            assert_eq!(nic.macaddr().as_deref(), Some("BC:24:11:6A:35:05"), "{text}");
            assert_eq!((nic.bridge(), nic.tag(), nic.firewall()), (Some("vmbr0"), Some(20), true));
            assert_eq!(nic.to_string(), text);
        }
        assert_eq!(Nic::parse("virtio,bridge=vmbr0").unwrap().macaddr(), None);
    }

    #[test]
    fn refuses_none_and_two() {
        assert!(Nic::parse("bridge=vmbr0").is_err());
        assert!(Nic::parse("virtio,e1000=BC:24:11:6A:35:05").is_err());
        assert!(Nic::parse("virtio=BC:24:11:6A:35:05,macaddr=BC:24:11:6A:35:06").is_err());
    }

    #[test]
    fn sets_model_and_mac_as_stored() {
        let mut nic = Nic::parse("virtio,bridge=vmbr0,future=1").unwrap();
        nic.set_macaddr("bc:24:11:6a:35:05").unwrap();
        assert_eq!(nic.to_string(), "virtio=BC:24:11:6A:35:05,bridge=vmbr0,future=1");
        nic.set_model("e1000").unwrap();
        nic.set("tag", "7").unwrap();
        assert_eq!(nic.to_string(), "e1000=BC:24:11:6A:35:05,bridge=vmbr0,future=1,tag=7");
        let mut nic = Nic::parse("model=virtio,macaddr=BC:24:11:6A:35:05").unwrap();
        nic.set_macaddr("BC:24:11:6A:35:06").unwrap();
        assert_eq!(nic.to_string(), "virtio=BC:24:11:6A:35:06");
        let mut nic = Nic::new("virtio").unwrap();
        nic.set("bridge", "vmbr0").unwrap();
        assert_eq!(nic.to_string(), "virtio,bridge=vmbr0");
        assert_eq!(nic.remove("virtio"), None);
        assert!(nic.set_model("nosuch").is_err());
    }

    #[test]
    fn knows_unicast_macs() {
        assert_eq!(normalize_mac("bc:24:11:6a:35:05").as_deref(), Some("BC:24:11:6A:35:05"));
        for text in
            ["", "bc:24:11:6a:35", "01:24:11:6a:35:05", "bc-24-11-6a-35-05", "+c:24:11:6a:35:05"]
        {
            assert_eq!(normalize_mac(text), None, "{text}");
        }
    }
}
