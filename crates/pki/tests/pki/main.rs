//! Keys and certificates as kubeadm and openssl see them.

#[cfg(test)]
mod bundle;
#[cfg(test)]
mod files;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod kubeadm;
#[cfg(test)]
mod openssl;
#[cfg(test)]
mod own_ca;
#[cfg(test)]
mod site;
