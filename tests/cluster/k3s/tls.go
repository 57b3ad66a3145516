package k3s

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const valid = 365 * 24 * time.Hour

// authority signs what servers and nodes of one cluster identify themselves with. It is kept in server/tls.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// openAuthority reads the authority of a folder, or makes one there.
func openAuthority(folder string) (*authority, error) {
	certificateFile, keyFile := filepath.Join(folder, "server-ca.crt"), filepath.Join(folder, "server-ca.key")
	text, err := os.ReadFile(certificateFile)
	if errors.Is(err, os.ErrNotExist) {
		return newAuthority(folder, certificateFile, keyFile)
	} else if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", certificateFile)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return &authority{certificate, key, text}, err
}

func newAuthority(folder, certificateFile, keyFile string) (*authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	key, keyText, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: fmt.Sprintf("k3s-server-ca@%d", time.Now().Unix())}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := sign(template, template, key.Public(), key, 10*valid)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(keyFile, keyText, 0o600); err != nil {
		return nil, err
	}
	return &authority{certificate, key, text}, os.WriteFile(certificateFile, text, 0o644)
}

// identity is a certificate and its key, in PEM.
type identity struct{ Certificate, Key []byte }

// issue makes an identity for server and client use; names are DNS names and addresses.
func (a *authority) issue(user string, groups []string, names ...string) (identity, error) {
	key, keyText, err := newKey()
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := sign(template, a.certificate, key.Public(), a.key, valid)
	if err != nil {
		return identity{}, err
	}
	return identity{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyText}, nil
}

// write puts an identity into a folder as name.crt and name.key.
func (i identity) write(folder, name string) (certificate, key string, err error) {
	certificate, key = filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key")
	if err = os.MkdirAll(folder, 0o700); err == nil {
		err = errors.Join(os.WriteFile(certificate, i.Certificate, 0o644), os.WriteFile(key, i.Key, 0o600))
	}
	return certificate, key, err
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer, length time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(length)
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func readKey(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key.(crypto.Signer), nil
}

// tokenKey makes the key pair that service accounts' tokens are signed with, once: service.key and service.pub.
func tokenKey(folder string) (public, private string, err error) {
	public, private = filepath.Join(folder, "service.pub"), filepath.Join(folder, "service.key")
	if _, err := os.Stat(public); err == nil {
		return public, private, nil
	}
	key, text, err := newKey()
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(private, text, 0o600); err != nil {
		return "", "", err
	}
	return public, private, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
}
